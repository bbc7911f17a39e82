//! `taru images`: `taru image ls`, as people know it.

pub(super) use super::image::ls::{Args, run};
