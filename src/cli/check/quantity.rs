//! Numbers as Kubernetes writes them: `0.05`, `50m`, `1Ki`.

/// The suffixes with what each stands for; longer ones first.
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The number that `text` stands for; `None` where it is no quantity.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value = number.parse::<f64>().ok().filter(|value| plain && value.is_finite())?;
    Some(value * factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let rows = [
            ("0", Some(0.0)),
            ("0.0", Some(0.0)),
            ("0m", Some(0.0)),
            ("0.05", Some(0.05)),
            ("50m", Some(0.05)),
            (".5", Some(0.5)),
            ("-0.1", Some(-0.1)),
            ("1e3", Some(1000.0)),
            ("2Ki", Some(2048.0)),
            ("", None),
            ("5%", None),
            ("5 m", None),
            ("inf", None),
            ("NaN", None),
            ("zero", None),
        ];
        for (text, expected) in rows {
            let same = match (parse(text), expected) {
                (Some(found), Some(value)) => (found - value).abs() < 1e-12,
                (found, value) => found.is_none() && value.is_none(),
            };
            assert!(same, "{text}: {:?}", parse(text));
        }
    }
}
