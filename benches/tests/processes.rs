// SPDX-License-Identifier: MIT
//! What the processes of some work cost. One test, alone in its program: others' processes would count too.

use std::process::Command;
use std::time::Duration;

use cascow_benches::measure::of_processes;

#[test]
fn processor_time_of_a_process_that_was_waited_for_counts_and_waiting_does_not() {
    let shell = |script| {
        assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
    };
    let busy = of_processes(|| shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"));
    assert!(busy.processors > Duration::from_millis(20), "{busy:?}");
    let idle = of_processes(|| shell("sleep 0.3"));
    assert!(idle.wall > Duration::from_millis(290), "{idle:?}");
    assert!(idle.processors < idle.wall / 2, "{idle:?}");
}
