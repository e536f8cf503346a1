//! What a backtest says while it works, to whoever shows it.

/// One step of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Something without a measurable length has begun, in words: "reads trace.csv".
    Phase(&'a str),
    /// At most this many more runs are to come.
    Planned(u64),
    /// One of them is done, or turned out not to be needed.
    Done,
}

/// Who is told; called from several threads at once.
pub type Listener<'a> = &'a (dyn Fn(Progress<'_>) + Sync);
