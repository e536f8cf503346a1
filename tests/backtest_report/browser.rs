//! Chromium without a window and without a network, if there is one on the machine.

use std::process::{Command, Stdio};

/// What became of a page.
pub(crate) struct Seen {
    /// The document after its scripts ran.
    pub(crate) dom: String,
    /// What the browser logged; messages of pages are marked `CONSOLE`.
    pub(crate) log: String,
}

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Opens `page`. `None` without a browser, which is said loudly; in continuous integration that is a
/// failure.
pub(crate) fn open(page: &str) -> Option<Seen> {
    let runs = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    let Some(program) = PROGRAMS.into_iter().find(|program| runs(program)) else {
        assert!(std::env::var_os("CI").is_none(), "no chromium on the path");
        eprintln!("SKIPPED: no `chromium` on the path, the page was opened in no browser");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, page).unwrap();
    let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--disable-background-networking"])
        // No name resolves, so that a page which fetches shows it as an error.
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"])
        .args([&profile, "--dump-dom"])
        .arg(format!("file://{}", path.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
