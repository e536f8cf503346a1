//! Sizes as users write them: `32MiB`, `512KiB`, `1GiB`, or a bare number of bytes.

/// Units and what they multiply by; those of Kubernetes' quantities are understood as well.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("", 1),
];

/// The bytes that `text` says.
///
/// # Errors
/// A text that says what is accepted.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let amount = amount.parse::<u64>().ok();
    amount.zip(factor).and_then(|(amount, factor)| amount.checked_mul(factor)).ok_or_else(|| {
        let text = crate::report::one_line(text);
        format!("{text:?} must be a size such as 32MiB, 512KiB, 1GiB, or bytes")
    })
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_and_anything_else_is_refused() {
        let rows = [
            ("32MiB", Some(32 << 20)),
            ("512Ki", Some(512 << 10)),
            ("1GiB", Some(1 << 30)),
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.5MiB", None),
            ("1 MiB", None),
            ("32MB", None),
            ("99999999999999999999", None),
            ("99999999999GiB", None),
        ];
        for (text, expected) in rows {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
