//! `taru tag`: `taru image tag`, as people know it.

pub(super) use super::image::tag::{Args, run};
