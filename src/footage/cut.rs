//! `?from=&to=`: which part of a film is wanted.
//!
//! A point is a moment of real time (ISO 8601, as every reply writes it) or a number: seconds from
//! the start of the film as a player shows them, with the gaps closed.

use jiff::Timestamp;

use crate::base::{Error, Result};

/// A point of a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Microseconds since 1970 UTC.
    Moment(i64),
    /// Microseconds from the start of the film.
    Position(u64),
}

/// A part of a film; without ends the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The last keyframe before it is the first picture, of those that the film is divided at: one for each
    /// fragment of half a second, which can hold a second one.
    pub from: Option<Point>,
    /// The fragment that holds it is the last.
    pub to: Option<Point>,
}

impl Cut {
    /// Everything.
    pub const WHOLE: Cut = Cut { from: None, to: None };

    /// Reads `from` and `to` from a URL's query; other members are left alone.
    pub fn of_query(query: &str) -> Result<Cut> {
        let mut cut = Cut::WHOLE;
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let (name, slot) = match &*key {
                "from" => ("from", &mut cut.from),
                "to" => ("to", &mut cut.to),
                _ => continue,
            };
            if slot.replace(point(name, &value)?).is_some() {
                return Err(Error::param(name, "must be given once", "leave one of them out"));
            }
        }
        Ok(cut)
    }

    /// Whether it is everything.
    pub fn is_whole(&self) -> bool {
        *self == Cut::WHOLE
    }
}

fn point(name: &str, text: &str) -> Result<Point> {
    let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && (0.0..1e9).contains(s));
    if let Some(seconds) = seconds {
        return Ok(Point::Position((seconds * 1e6) as u64));
    }
    // A plus sign of an offset that was not escaped has become a space.
    let text = text.replace(' ', "+");
    let moment = text.parse::<Timestamp>().map_err(|_| {
        let hint = "such as 2025-01-15T14:30:00Z, or 12.5 for 12.5 s from the start";
        Error::param(name, "must be a time as ISO 8601 or seconds from the start", hint)
    })?;
    Ok(Point::Moment(moment.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_are_moments_or_seconds_from_the_start() {
        let from = |text: &str| Cut::of_query(&format!("sig=x&from={text}")).map(|c| c.from.unwrap());
        assert_eq!(from("12.5").unwrap(), Point::Position(12_500_000));
        let moment = Point::Moment(1_736_951_400_000_000);
        for text in [
            "2025-01-15T14:30:00Z",
            "2025-01-15T14:30:00.000Z",
            "2025-01-15T14%3A30%3A00Z",
            "2025-01-15T15:30:00+01:00",
            "2025-01-15T15:30:00%2B01:00",
        ] {
            assert_eq!(from(text).unwrap(), moment, "{text}");
        }
        for bad in ["", "-1", "nan", "inf", "1e300", "yesterday", "2025-01-15", "14:30"] {
            assert!(from(bad).is_err(), "{bad}");
        }
        assert!(Cut::of_query("from=1&from=2").is_err());
        assert!(Cut::of_query("exp=1&segment=2").unwrap().is_whole());
    }

    proptest! {
        #[test]
        fn any_query_is_survived(text in ".{0,60}", number in any::<f64>()) {
            let _ = Cut::of_query(&text);
            let _ = Cut::of_query(&format!("from={text}&to={number}"));
        }
    }
}
