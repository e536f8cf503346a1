//! The flags of `prescale demo`, and their limits.

use std::time::Duration;

/// What the demo may be told.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct Options {
    /// Simulated seconds per second, 1 to 500
    #[arg(long, default_value = "60", value_parser = speed, allow_hyphen_values = true)]
    pub speed: f64,
    /// Length of the simulated day, 5m to 24h; its shape (rise, burst, lull, idle, wake) stretches
    /// with it
    #[arg(long, default_value = "3h", value_parser = duration, allow_hyphen_values = true)]
    pub duration: Duration,
    /// Port of the page and the API on 127.0.0.1; 0: any that is free
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Seed of arrivals, sizes and cold starts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How the terminal may be written to. Read from the environment by the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// A person looks: the table is drawn in place. Otherwise a line every few seconds.
    pub interactive: bool,
    /// Colours may be used (`NO_COLOR` is not set).
    pub color: bool,
}

/// Above 500 a tick of the server (5 s) has 10 ms, less than a scrape of a dozen pods takes.
const SPEED_MAX: f64 = 500.0;

fn speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (1.0..=SPEED_MAX).contains(speed))
        .ok_or_else(|| format!("must be a number from 1 to {SPEED_MAX}, such as 60"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let refused = || "must be from 5m to 24h, such as 3h or 90m".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(refused()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(seconds))
        .filter(|total| (300..=86_400).contains(total))
        .map(Duration::from_secs)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, duration, speed};

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parse(flags: &[&str]) -> Result<Options, String> {
        let words = ["demo"].iter().chain(flags);
        let parsed = <Command as clap::Parser>::try_parse_from(words);
        parsed.map(|command| command.options).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_three_hours_pass_in_three_minutes() {
        let hours = Duration::from_secs(3 * 3600);
        let expected = Options { speed: 60.0, duration: hours, port: 8080, seed: 1 };
        assert_eq!(parse(&[]), Ok(expected));
    }

    #[test]
    fn durations_have_a_unit_and_limits() {
        let rows = [
            ("3h", Some(10_800)),
            ("90m", Some(5400)),
            ("600s", Some(600)),
            ("600", Some(600)),
            ("4m", None),
            ("25h", None),
            ("1d", None),
            ("-3h", None),
            ("h", None),
            ("", None),
            ("18446744073709551615h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn speeds_have_limits() {
        for (text, accepted) in [
            ("1", true),
            ("500", true),
            ("0.5", false),
            ("501", false),
            ("NaN", false),
            ("x", false),
        ] {
            assert_eq!(speed(text).is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn a_wrong_flag_is_answered_with_key_value_and_what_is_accepted() {
        let rows = [
            (["--speed", "0"], "'0' for '--speed <SPEED>': must be a number from 1 to 500"),
            (["--duration", "3d"], "'3d' for '--duration <DURATION>': must be from 5m to 24h"),
            (["--duration", "-3h"], "'-3h' for '--duration <DURATION>': must be from 5m to 24h"),
            (["--speed", "-1"], "'-1' for '--speed <SPEED>': must be a number from 1 to 500"),
            (["--port", "99999"], "'99999' for '--port <PORT>'"),
        ];
        for (flags, expected) in rows {
            let error = parse(&flags).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
