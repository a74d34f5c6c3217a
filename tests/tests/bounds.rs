//! The numbers that were promised, printed: run with `--nocapture` to see them.

use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::hooks;
use ftptrack_tests::network::Network;
use rustix::process::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// The verifier gives up after a million.
const VERIFIED_INSTRUCTIONS: u32 = 300_000;
const ATTACHING: Duration = Duration::from_millis(300);

/// One test, not two side by side: the second number is a time.
#[test]
fn the_verifier_has_little_to_do_and_attaching_is_quick() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    for hook in hooks::known() {
        let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--hook", hook]].concat());
        let programs = hooks::attached(server);
        let mut names: Vec<_> = programs.iter().map(|program| program.name.as_str()).collect();
        names.sort_unstable();
        // The kernel keeps fifteen bytes of a name.
        assert_eq!(names, ["ftptrack_egress", "ftptrack_ingres"]);
        for program in &programs {
            let verified = program.verified.expect("this kernel says it");
            println!("{hook} {}: {verified} verified instructions", program.name);
            assert!(verified < VERIFIED_INSTRUCTIONS, "{program:?}");
        }
        ftptrack.stop();
    }

    let attach = || {
        let begin = Instant::now();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let taken = (computed(ftptrack.pid()), begin.elapsed());
        ftptrack.stop();
        taken
    };
    // Time on CPUs is what counts: it is the same on a machine that is busy with something else.
    // On one that isn't, less time passes than that, as each program has a CPU for itself.
    let (computing, passing) = (0..5).map(|_| attach()).min().expect("five of them");
    println!("started, loaded and attached: {computing:?} on CPUs in {passing:?}");
    assert!(computing < ATTACHING, "{computing:?}");
}

/// How long a process has computed so far, the kernel's work for it included.
fn computed(process: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // Fields 14 and 15; the second one, a name, may have spaces in it.
    let (_, rest) = stat.rsplit_once(") ").expect("PID (NAME) …");
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_nanos(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second())
}
