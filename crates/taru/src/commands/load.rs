//! `taru load`: `taru image load`, as people know it.

pub(super) use super::image::load::{Args, run};
