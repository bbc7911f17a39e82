//! `taru save`: `taru image save`, as people know it.

pub(super) use super::image::save::{Args, run};
