//! Genuine pages in, roles out.
