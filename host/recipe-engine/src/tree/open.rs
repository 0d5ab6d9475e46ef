//! Directories for others to work in, by descriptor.

use super::{Access, Tree, failed, open_dir};
use crate::bindings::interfaces::types::Error;
use std::os::fd::OwnedFd;

impl Tree {
    /// Opens a directory that may be written, so that it is still this one if its name then leads
    /// elsewhere; and tells where it really is.
    pub(crate) fn open_to_write(&self, path: &str) -> Result<(OwnedFd, String), Error> {
        let spot = self.spot_behind_links(path, Access::Write)?;
        let opened = open_dir(spot.dir()?, &spot.name);
        let opened = opened.map_err(|errno| failed(errno, "open", &spot.path))?;
        Ok((opened, spot.path.to_string()))
    }
}
