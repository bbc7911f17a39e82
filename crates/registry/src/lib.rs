//! A client of image registries: resolve, authenticate, fetch, push.
