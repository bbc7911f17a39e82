//! `taru import`: `taru image import`, as people know it.

pub(super) use super::image::import::{Args, run};
