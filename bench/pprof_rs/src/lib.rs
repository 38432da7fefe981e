//! pprof-rs as a library to preload, for bench/sampler.sh: with PPROF_RS_FREQ set it samples from the
//! library's start to the program's end, and leaves nothing behind. A program may also start it itself.

use std::os::raw::c_int;
use std::sync::Mutex;

static GUARD: Mutex<Option<pprof::ProfilerGuard<'static>>> = Mutex::new(None);

/// Starts sampling at so many Hz; 0, or -1 where that failed.
#[no_mangle]
pub extern "C" fn bench_pprof_rs_start(frequency: c_int) -> c_int {
    match pprof::ProfilerGuardBuilder::default().frequency(frequency).build() {
        Ok(guard) => {
            *GUARD.lock().unwrap() = Some(guard);
            0
        }
        Err(_) => -1,
    }
}

/// Samples taken since then.
#[no_mangle]
pub extern "C" fn bench_pprof_rs_samples() -> i64 {
    match GUARD.lock().unwrap().as_ref().map(|guard| guard.report().build_unresolved()) {
        Some(Ok(report)) => report.data.values().map(|&count| count as i64).sum(),
        _ => -1,
    }
}

extern "C" fn at_start() {
    if let Some(frequency) = std::env::var("PPROF_RS_FREQ").ok().and_then(|f| f.parse().ok()) {
        bench_pprof_rs_start(frequency);
    }
}

extern "C" fn at_end() {
    GUARD.lock().unwrap().take();
}

#[used]
#[link_section = ".init_array"]
static AT_START: extern "C" fn() = at_start;

#[used]
#[link_section = ".fini_array"]
static AT_END: extern "C" fn() = at_end;
