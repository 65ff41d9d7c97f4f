//! Members of a URL's query whose values need no decoding.

/// The first member of this name: `b` of `a=1&b=2` is `2`.
pub fn member<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_the_first_counts() {
        assert_eq!(member("a=1&b=2&b=3", "b"), Some("2"));
        assert_eq!(member("sig=a=b", "sig"), Some("a=b"));
        assert_eq!(member("a=&b", "a"), Some(""));
        for without in ["", "ab=1", "b", "c=a=1"] {
            assert_eq!(member(without, "a"), None, "{without}");
        }
    }
}
