//! FFmpeg's `-progress` text, a `key=value` line at a time.

/// One report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Frames that left the encoder since its start.
    pub frames: u64,
    /// Bytes written since the start, where the output counts them (RTSP does not).
    pub bytes: Option<u64>,
    /// Frames a second, as FFmpeg averages them over its whole life.
    pub fps: f64,
    /// Media time written, in microseconds.
    pub out_us: Option<i64>,
    /// Frames FFmpeg doubled or dropped by itself; always 0 with our arguments.
    pub doubled_or_dropped: u64,
    /// FFmpeg's last report.
    pub last: bool,
}

/// Collects lines until a report is complete. Unknown keys and values that are no numbers (`N/A`)
/// are passed over.
#[derive(Clone, Debug, Default)]
pub struct ProgressParser {
    open: Progress,
}

impl ProgressParser {
    /// Takes one line; answers with the report it completes.
    pub fn line(&mut self, line: &str) -> Option<Progress> {
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        match key.trim() {
            "frame" => set(value, &mut self.open.frames),
            "fps" => {
                if let Some(fps) = value.parse().ok().filter(|fps: &f64| fps.is_finite() && *fps >= 0.0) {
                    self.open.fps = fps;
                }
            }
            "total_size" => self.open.bytes = value.parse().ok(),
            "out_time_us" => self.open.out_us = value.parse().ok(),
            "dup_frames" | "drop_frames" => {
                let mut more = 0;
                set(value, &mut more);
                self.open.doubled_or_dropped = self.open.doubled_or_dropped.saturating_add(more);
            }
            "progress" => {
                self.open.last = value == "end";
                return Some(std::mem::take(&mut self.open));
            }
            _ => {}
        }
        None
    }
}

fn set(value: &str, field: &mut u64) {
    if let Ok(number) = value.parse() {
        *field = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Said by FFmpeg 5.1 publishing to MediaMTX.
    const REPORT: &str = "frame=45\nfps=29.83\nstream_0_0_q=18.0\nbitrate=N/A\ntotal_size=N/A\n\
        out_time_us=1466666\nout_time_ms=1466666\nout_time=00:00:01.466666\ndup_frames=0\n\
        drop_frames=0\nspeed=0.97x\nprogress=continue\n";

    #[test]
    fn a_report_is_complete_with_its_progress_line() {
        let mut parser = ProgressParser::default();
        let reports: Vec<_> = REPORT.lines().filter_map(|line| parser.line(line)).collect();
        let expected = Progress { frames: 45, fps: 29.83, out_us: Some(1_466_666), ..Progress::default() };
        assert_eq!(reports, [expected]);
        assert!(parser.line("progress=end").unwrap().last);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(lines in proptest::collection::vec(
            prop_oneof!["[a-z_]{0,12}=.{0,30}", ".{0,40}", "(frame|fps|total_size|dup_frames|progress)=[-0-9.eN/A]{0,30}"],
            0..30,
        )) {
            let mut parser = ProgressParser::default();
            for line in lines {
                if let Some(report) = parser.line(&line) {
                    prop_assert!(report.fps.is_finite());
                }
            }
        }
    }
}
