//! A progress bar on stderr where that is a terminal, nothing otherwise.

use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::output::count;
use crate::catalog::CatalogReader;
use crate::domain::report::DrainReport;
use crate::domain::state::State;
use crate::telemetry;
use crate::verify::VerifyProgress;

/// How often the bar asks how much is left.
const REDRAW: Duration = Duration::from_millis(250);

/// Draws until `over`: how many of how many, bytes, rate, time to go.
pub(super) async fn draw(reader: CatalogReader, progress: watch::Receiver<DrainReport>, over: CancellationToken) {
    let Some(bars) = telemetry::bars() else {
        return;
    };
    let Ok(style) =
        ProgressStyle::with_template("{spinner} {pos}/{len} archived  {msg}  {per_sec}  ETA {eta}  {wide_bar}")
    else {
        return;
    };
    let bar = bars.add(ProgressBar::new(0).with_style(style));
    while !over.is_cancelled() {
        let done = *progress.borrow();
        if let Ok(workspaces) = reader.workspaces().await {
            let open = |state| workspaces.iter().map(|workspace| count(workspace, state)).sum::<u64>();
            bar.set_length(done.archived + open(State::Due) + open(State::Claimed));
        }
        bar.set_position(done.archived);
        let failed = if done.failed > 0 {
            format!("  {} failed", done.failed)
        } else {
            String::new()
        };
        bar.set_message(format!("{}{failed}", bytesize::ByteSize(done.archived_bytes)));
        tokio::select! {
            () = over.cancelled() => {}
            () = tokio::time::sleep(REDRAW) => {}
        }
    }
    bar.finish_and_clear();
}

/// Draws a verification until `over`: how many of how many, bytes, rate, time to go.
pub(super) async fn draw_reading(progress: watch::Receiver<VerifyProgress>, over: CancellationToken) {
    let template = "{spinner} {pos}/{len} re-read  {msg}  {per_sec}  ETA {eta}  {wide_bar}";
    let (Some(bars), Ok(style)) = (telemetry::bars(), ProgressStyle::with_template(template)) else {
        return;
    };
    let bar = bars.add(ProgressBar::new(0).with_style(style));
    while !over.is_cancelled() {
        let done = *progress.borrow();
        bar.set_length(done.total.max(done.checked));
        bar.set_position(done.checked);
        bar.set_message(format!("{}  {} unsound", bytesize::ByteSize(done.bytes), done.unsound));
        tokio::select! {
            () = over.cancelled() => {}
            () = tokio::time::sleep(REDRAW) => {}
        }
    }
    bar.finish_and_clear();
}
