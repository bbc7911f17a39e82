//! `taru rmi`: `taru image rm`, as people know it.

pub(super) use super::image::rm::{Args, run};
