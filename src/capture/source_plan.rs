//! What FFmpeg is asked to play into the frame path: a pattern, or a file as if it were live.

use std::path::PathBuf;

use crate::base::Result;

use super::pattern::{TestPlan, into_frame_path};

/// A video file, played over and over at its own speed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// The file.
    pub path: PathBuf,
    /// Picture width; a file of another shape gets bars.
    pub width: u32,
    /// Picture height.
    pub height: u32,
}

/// A source that an FFmpeg plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePlan {
    /// A synthetic camera.
    Test(TestPlan),
    /// A file.
    File(FilePlan),
}

impl From<TestPlan> for SourcePlan {
    fn from(plan: TestPlan) -> Self {
        SourcePlan::Test(plan)
    }
}

impl SourcePlan {
    /// Refuses what FFmpeg would refuse.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            SourcePlan::Test(plan) => plan.check(),
            SourcePlan::File(_) => Ok(()),
        }
    }

    /// Width and height of its pictures.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            SourcePlan::Test(plan) => (plan.width, plan.height),
            SourcePlan::File(plan) => (plan.width, plan.height),
        }
    }

    /// FFmpeg's arguments; pictures come on its standard output. `clock`: a pattern shows the time.
    pub(super) fn args(&self, clock: bool) -> Vec<String> {
        match self {
            SourcePlan::Test(plan) => plan.args(clock),
            SourcePlan::File(plan) => plan.args(),
        }
    }
}

impl FilePlan {
    fn args(&self) -> Vec<String> {
        let Self { path, width, height } = self;
        let input = format!("file:{}", path.display());
        let shape = format!(
            "scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2,\
             pad={width}:{height}:-1:-1,setsar=1,format=yuv420p"
        );
        let source = [
            // A playlist must not lead out of the box.
            "-protocol_whitelist",
            "file",
            // Frames are stamped when they arrive here, so that time never goes back at the seam.
            "-stream_loop",
            "-1",
            "-re",
            "-i",
            &input,
            "-map",
            "0:v:0",
            "-an",
            "-vf",
            &shape,
        ];
        into_frame_path(&source, "4")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_played_at_its_speed_for_ever_and_never_over_the_network() {
        let args = FilePlan { path: "/media/-a b.mp4".into(), width: 640, height: 360 }.args();
        let value = |name: &str| &args[args.iter().position(|a| a == name).unwrap() + 1];
        assert_eq!(value("-stream_loop"), "-1");
        assert_eq!(value("-protocol_whitelist"), "file");
        assert_eq!(value("-i"), "file:/media/-a b.mp4");
        assert!(args.iter().any(|a| a == "-re"));
    }
}
