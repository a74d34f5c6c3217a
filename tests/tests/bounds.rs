//! What the verifier goes through, printed: run with `--nocapture` to see it. How long attaching takes: `cargo xtask bench`.

use ftptrack_tests::hosts::network::Network;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;

/// The verifier gives up after a million.
const VERIFIED_INSTRUCTIONS: u32 = 300_000;

#[test]
fn the_verifier_has_little_to_do() {
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
}
