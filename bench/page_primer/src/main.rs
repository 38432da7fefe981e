//! remap_calls (bench/remap_calls.c) behind page-primer, for bench/remap.sh: with PAGE_PRIMER set its text goes to huge
//! pages first, and what page-primer says of that to standard error. Linked as page-primer asks for.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

extern "C" {
    fn calls_main(argc: c_int, argv: *const *const c_char) -> c_int;
}

fn main() {
    if std::env::var_os("PAGE_PRIMER").is_some() {
        page_primer::prime().remap(true).run().eprint();
    }
    let words: Vec<CString> = std::env::args_os().map(|word| CString::new(word.into_vec()).unwrap()).collect();
    let pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    let status = unsafe { calls_main(words.len() as c_int, pointers.as_ptr()) };
    std::process::exit(status); // which flushes what C has printed
}
