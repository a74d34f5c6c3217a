//! Packets of few and of very many control connections.

use ftp_common::keys::ConnectionKey;
use ftptrack_tests::subject::test_run::Hook;
use ftptrack_tests::subject::test_run::harness::Harness;

use super::{PART, grouped};
use crate::measure::{Series, Spread};
use crate::packets::{self, CLIENTS, IN_A_ROW, client_address};
use crate::programs::{self, Drive, Pattern};
use crate::{EMPTY, FTPTRACK, Length};

/// A command in each of so many sessions, and acknowledgements in any of them.
pub(super) fn measure(harness: &mut Harness, length: Length) -> Vec<Series> {
    let [rounds, packets] = length.pick([3, 50_000], [9, 500_000]);
    harness.kernel.empty();
    let mut control = harness.control(40_000);
    control.exchange(harness, "USER anonymous\r\n", "331 password, please\r\n");
    control.exchange(harness, "PASS guest\r\n", "230 in\r\n");
    let (key, session) = harness.kernel.sessions.all().into_iter().next().expect("it is followed");
    let command = control.client_segment(harness, packets::NOOP);
    let acknowledgement = control.client_segment(harness, "").frame();
    let all = |harness: &mut Harness, count| {
        for client in 0..count {
            let key = ConnectionKey { client: client_address(client), ..key };
            harness.kernel.sessions.put(&key, &session);
        }
    };
    let empty = programs::empty();
    let mut done = Vec::new();
    for &count in length.pick(&[1, 1_000][..], &[1, 1_000, 10_000, 100_000]) {
        let sources = Pattern { sources: count, first_source: CLIENTS.to_bits(), ..Pattern::default() };
        let any = Pattern { at_random: true, ..sources };
        // Each session gets its command once: the second time it would be a repetition. A single one gets the next.
        let (commands, in_a_row) = if count == 1 {
            (Pattern { advance: command.length(), first_sequence: control.client_next, ..any }, IN_A_ROW)
        } else {
            (sources, count)
        };
        let batches = (packets / in_a_row / 50).clamp(1, 200);
        let programs = || [programs::program(&empty, "empty"), harness.kernel.program(Hook::Ingress)];
        let [mut floor, mut ours] = programs().map(|program| Drive::new(program, commands));
        let [mut any_floor, mut any_ours] = programs().map(|program| Drive::new(program, any));
        let frame = command.frame();
        let mut of_commands = Series::new(PART, format!("command of 25 bytes, sessions: {}", grouped(count)), "ns");
        let mut of_acknowledgements = Series::new(PART, format!("acknowledgement, sessions: {}", grouped(count)), "ns");
        for _ in 0..rounds {
            let [mut without, mut with] = [const { Vec::new() }; 2];
            for _ in 0..batches {
                all(harness, count);
                without.push(floor.run(&frame, in_a_row));
                with.push(ours.run(&frame, in_a_row));
            }
            for (filter, batches) in [(EMPTY, without), (FTPTRACK, with)] {
                of_commands.add(filter, Spread::of(batches).expect("there were some").median);
            }
            all(harness, count);
            of_acknowledgements.add(EMPTY, any_floor.run(&acknowledgement, packets));
            of_acknowledgements.add(FTPTRACK, any_ours.run(&acknowledgement, packets));
        }
        done.extend([of_commands, of_acknowledgements]);
    }
    done
}
