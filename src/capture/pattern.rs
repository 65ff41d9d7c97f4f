//! What FFmpeg is asked to draw for a synthetic camera, as pure code.

use crate::base::{Error, Result};
use crate::config::PATTERNS;

/// A synthetic camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPlan {
    /// One of [`PATTERNS`].
    pub pattern: String,
    /// Picture width: even, 16 to 4096.
    pub width: u32,
    /// Picture height: even, 16 to 4096.
    pub height: u32,
    /// Pictures a second the pattern produces: 1 to 120.
    pub fps: u32,
    /// Test knob: the source says `fps` but gives this many a second.
    pub deliver: Option<u32>,
    /// Test knob: every this many-th picture is lost.
    pub lose: Option<u32>,
}

impl TestPlan {
    /// Refuses what FFmpeg would refuse or what would be more than a test pattern.
    pub fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::unsupported("test source", reason));
        // Nothing but a known name gets into the filter text.
        if !PATTERNS.contains(&self.pattern.as_str()) {
            return refuse(format!("a test pattern is one of {}", PATTERNS.join(", ")));
        }
        let fits = |n: u32| (16..=4096).contains(&n) && n.is_multiple_of(2);
        if !fits(self.width) || !fits(self.height) {
            return refuse("a test picture is 16 to 4096 pixels wide and high, both even".into());
        }
        if !(1..=120).contains(&self.fps) {
            return refuse("a test pattern has 1 to 120 pictures a second".into());
        }
        if self.deliver == Some(0) || self.lose.is_some_and(|k| k < 2) {
            return refuse("deliver is at least 1 and lose at least 2".into());
        }
        Ok(())
    }

    /// FFmpeg's arguments; pictures come on its standard output. `clock`: with the time as text,
    /// which needs a font.
    pub fn args(&self, clock: bool) -> Vec<String> {
        let graph = self.graph(clock);
        let source = [
            // Two threads a filter cost more in hand-over than they gain at these sizes.
            "-filter_complex_threads",
            "1",
            "-filter_complex",
            &graph,
            "-map",
            "[out]",
        ];
        // 50 KB a picture of testsrc2 at 1280x720.
        into_frame_path(&source, "6")
    }

    fn graph(&self, clock: bool) -> String {
        let Self { pattern, width, height, fps, .. } = self;
        // The limit keeps a process that was stopped for a while from racing to catch up.
        let mut graph =
            format!("{pattern}=size={width}x{height}:rate={fps},format=yuv420p,realtime=limit=0.5");
        let cell = width / 40;
        if clock && cell >= 4 {
            graph.push_str(&format!(
                ",drawtext=text='%{{gmtime\\:%Y-%m-%d %H\\\\\\:%M\\\\\\:%S}} UTC  %{{n}}'\
                 :x={cell}:y={}:fontsize={cell}:fontcolor=white:box=1:boxcolor=black",
                cell * 3
            ));
        }
        if cell > 0 && cell * 2 <= *height {
            graph.push_str(&squares(cell, *fps));
        }
        // `n` still counts what the pattern produced here.
        if let Some(deliver) = self.deliver {
            graph.push_str(&format!(",select=lt(mod(n*{deliver}\\,{fps})\\,{deliver})"));
        }
        if let Some(lose) = self.lose {
            graph.push_str(&format!(",select=mod(n+1\\,{lose})"));
        }
        graph.push_str("[out]");
        graph
    }
}

/// FFmpeg's arguments around `source`, for pictures on its standard output; `quality` is mjpeg's `-q:v`,
/// 2 (best) to 31.
pub(super) fn into_frame_path(source: &[&str], quality: &str) -> Vec<String> {
    let opening = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"];
    let pictures = [
        "-fps_mode",
        "passthrough",
        "-c:v",
        "mjpeg",
        "-threads",
        "1",
        "-q:v",
        quality,
        "-huffman",
        "default",
        // Lets the encoder take the source's own limited range, marked as such, so that nothing here
        // or at our encoder converts it: 0.05 of a core at 720p30.
        "-strict",
        "unofficial",
        "-flush_packets",
        "1",
        "-f",
        "mpjpeg",
        "pipe:1",
    ];
    [&opening, source, &pictures].concat().into_iter().map(str::to_owned).collect()
}

/// The two rows of squares: drawn one pixel a cell, enlarged, laid over. The branch that draws has
/// the wall clock as its timestamps while it draws, so that `T` is the moment of capture.
fn squares(cell: u32, fps: u32) -> String {
    let counter = "mod(floor(N/pow(2\\,33-X))\\,2)";
    let clock = "mod(floor(mod(floor(T*1000)\\,pow(2\\,40))/pow(2\\,39-X))\\,2)";
    let bit = format!("if(Y\\,{clock}\\,if(lt(X\\,2)\\,1-X\\,if(lt(X\\,34)\\,{counter}\\,mod(X+1\\,2))))");
    format!(
        ",split[picture][strip];[strip]crop=40:2:0:0,settb=1/1000000,setpts=RTCTIME,\
         geq=lum=255*{bit}:cb=128:cr=128,setpts=N*1000000/{fps},settb=1/{fps},\
         scale={}:{}:flags=neighbor[squares];[picture][squares]overlay=x=0:y=0:format=yuv420",
        cell * 40,
        cell * 2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> TestPlan {
        TestPlan { pattern: "testsrc2".into(), width: 1280, height: 720, fps: 30, deliver: None, lose: None }
    }

    #[test]
    fn the_graph_paces_draws_and_counts_before_it_drops() {
        let graph = TestPlan { deliver: Some(12), lose: Some(3), ..plan() }.graph(true);
        let order =
            ["testsrc2=size=1280x720:rate=30", "realtime", "drawtext", "setpts=RTCTIME", "geq", "overlay"];
        let places: Vec<_> = order.iter().map(|part| graph.find(part).unwrap()).collect();
        assert!(places.is_sorted(), "{graph}");
        assert!(graph.ends_with("select=lt(mod(n*12\\,30)\\,12),select=mod(n+1\\,3)[out]"), "{graph}");
        assert!(graph.contains("scale=1280:64:"), "{graph}");
    }

    #[test]
    fn a_picture_too_small_for_squares_goes_without() {
        let tiny = TestPlan { width: 32, height: 32, ..plan() };
        tiny.check().unwrap();
        assert_eq!(tiny.graph(true), "testsrc2=size=32x32:rate=30,format=yuv420p,realtime=limit=0.5[out]");
    }

    #[test]
    fn only_known_patterns_reach_the_filter_text() {
        plan().check().unwrap();
        for bad in ["", "movie=/etc/passwd", "testsrc2,movie=x", "color"] {
            assert!(TestPlan { pattern: bad.into(), ..plan() }.check().is_err(), "{bad}");
        }
        for odd in [
            TestPlan { width: 1281, ..plan() },
            TestPlan { height: 0, ..plan() },
            TestPlan { fps: 0, ..plan() },
            TestPlan { deliver: Some(0), ..plan() },
            TestPlan { lose: Some(1), ..plan() },
        ] {
            assert!(odd.check().is_err(), "{odd:?}");
        }
    }
}
