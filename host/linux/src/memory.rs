//! The calling process's own memory.

use nix::errno::Errno;
use std::fs;
use std::io;

/// What one system call may need below the frame of [`trim_stack`].
const MARGIN: usize = 4 << 10;
/// A page of memory.
const PAGE: usize = 4096;

/// Gives back what the main thread's stack once needed and does not now: a process that is set up
/// by deep calls and then waits would keep those pages for ever. Does nothing on other threads.
pub fn trim_stack() -> io::Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).and_then(bounds);
    let here = (&raw const maps).addr();
    let Some((low, _)) = stack.filter(|(low, high)| (*low..*high).contains(&here)) else {
        return Ok(());
    };
    let length = (here.saturating_sub(MARGIN)).saturating_sub(low) / PAGE * PAGE;
    if length == 0 {
        return Ok(());
    }
    let start = std::ptr::without_provenance_mut(low);
    // SAFETY: the range is mapped, lies in this thread's stack (which `here` is in), and ends well
    // below every frame that is in use: nothing reads it before it is written again.
    let result = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

fn bounds(line: &str) -> Option<(usize, usize)> {
    let (low, high) = line.split_once(' ')?.0.split_once('-')?;
    Some((usize::from_str_radix(low, 16).ok()?, usize::from_str_radix(high, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_goes_on_after_it_was_trimmed() {
        #[inline(never)]
        fn deep(depth: usize) -> usize {
            let frame = std::hint::black_box([depth; 512]);
            if depth == 0 { frame[0] } else { deep(depth - 1) + frame[511] }
        }
        assert_eq!(deep(20), 210);
        trim_stack().unwrap();
        assert_eq!(deep(20), 210);
        assert_eq!(
            bounds("7ffd8ddd4000-7ffd8ddf5000 rw-p 0 00:00 0 [stack]").unwrap().1,
            0x7ffd8ddf5000
        );
    }
}
