//! Blobs by digest, names, leases and garbage collection: an OCI image layout on disk, kept by a database.
//!
//! ```text
//! DIR/                  0700
//!   oci-layout          {"imageLayoutVersion":"1.0.0"}
//!   index.json          the names, for any OCI tool to read; rewritten from the database after each change
//!   blobs/ALG/HEX       whole and verified, or not there
//!   content.db          what is known of them (SQLite, write-ahead log); see `db`
//!   ingest/             files being written; see `unfinished`
//!   lock                byte 0: names of blobs against gc; byte N: lease N is alive; see `gate`
//!   reserve/            room that is given up when the disk is full, so that removing still works
//! ```
//! # What is promised
//! * A blob has its final name only after every byte was hashed and [fsync(2)][sync]ed. A reader never sees a part.
//! * What [`Content::tag`], [`Content::hold`] and [`Content::untag`] answered is on the disk: the names of the blobs are
//!   synced, then there is one synced transaction. What was not answered is whole or absent.
//! * What neither a name, a hold nor a live lease reaches is gone after the next [`Content::gc`], and unfinished files
//!   of dead writers after the next [`Content::open`] (those that a next pull of the same blob may continue: after gc).
//!
//! # Who excludes whom
//! * A blob gets its name and its row while byte 0 of `lock` is shared; gc has it exclusively from mark to unlink, in
//!   a write transaction. So whatever protects something (a lease, a hold, a name) comes before gc looks, or after it is done.
//! * [`Content::want`] protects before it looks: what it finds stays.
//! * An unfinished file is flock(2)ed by its writer. Two pulls of one blob take turns; the second finds it there.
//! * A lease lives as long as a lock on its byte does: until it is dropped, or its process ends, in whatever namespace.
//!
//! [sync]: https://man7.org/linux/man-pages/man2/fsync.2.html

mod blob;
mod check;
mod db;
mod gate;
mod gc;
mod graph;
mod hold;
mod image;
mod ingest;
mod label;
mod layout;
mod lease;
mod recover;
mod reserve;
pub mod sqlite;
mod store;
mod unfinished;
mod usage;
mod verify;
mod whole;

pub use check::{Broken, Missing, Report};
pub use gc::{Freed, LayerStore, NoLayers};
pub use hold::RECOVERED;
pub use image::ImageRecord;
pub use ingest::{Ingest, Want};
pub use lease::Lease;
pub use store::Content;
pub use usage::Usage;
