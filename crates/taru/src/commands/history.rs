//! `taru history`: `taru image history`, as people know it.

pub(super) use super::image::history::{Args, run};
