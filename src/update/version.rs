//! Which of two versions is the older one.

use std::cmp::Ordering;

/// Compares two versions such as `1.2.0`, `1.2.0-rc.1`, `2026.11`. Numbers count as numbers, a missing one as 0, what
/// stands behind a `-` is from before the version without it, what stands behind a `+` says nothing. `None` = one of
/// them does not begin with a number, and nobody knows.
pub(super) fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (Parts::of(one)?, Parts::of(other)?);
    let most = one.numbers.len().max(other.numbers.len());
    let number = |parts: &Parts<'_>, at: usize| parts.numbers.get(at).copied().unwrap_or(0);
    for at in 0..most {
        match number(&one, at).cmp(&number(&other, at)) {
            Ordering::Equal => {}
            differs => return Some(differs),
        }
    }
    Some(match (one.before, other.before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => words(one, other),
    })
}

struct Parts<'a> {
    numbers: Vec<u64>,
    before: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.trim().strip_prefix('v').unwrap_or(text.trim());
        let text = text.split('+').next()?;
        let (release, before) = text.split_once('-').map_or((text, None), |(r, b)| (r, Some(b)));
        let numbers = release.split('.').map(|n| n.parse().ok()).collect::<Option<Vec<_>>>()?;
        Some(Self { numbers, before })
    }
}

fn words(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_the_order_that_people_give_them() {
        let order = [
            "0.0.9",
            "0.1.0-rc.1",
            "0.1.0-rc.2",
            "0.1.0-rc.10",
            "0.1.0",
            "0.1.1",
            "0.2",
            "0.10.0",
            "1",
            "2026.11.1",
        ];
        for (at, one) in order.iter().enumerate() {
            for (other_at, other) in order.iter().enumerate() {
                assert_eq!(compare(one, other), Some(at.cmp(&other_at)), "{one} and {other}");
            }
        }
        for (one, other) in
            [("1.0", "1.0.0"), ("v1.2.3", "1.2.3"), ("1.2.3+a", "1.2.3+b"), ("1.2.3+developer", "1.2.3")]
        {
            assert_eq!(compare(one, other), Some(Ordering::Equal));
        }
        for unknown in ["", "next", "1.x", "-", "99999999999999999999"] {
            assert_eq!(compare(unknown, "1.0.0"), None, "{unknown}");
            assert_eq!(compare("1.0.0", unknown), None, "{unknown}");
        }
    }
}
