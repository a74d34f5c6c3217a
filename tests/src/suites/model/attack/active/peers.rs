//! What answers the server's SYNs: clients that know the numbers of what they got, and a neighbour that doesn't.

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};

use super::super::host::Tuple;
use super::super::scene::{FAST_OPEN, Played, off};
use super::Player;
use crate::suites::model::script::Step;

impl Player<'_> {
    /// A SYN-ACK, of now or of before: the right one, or not quite, or another than before.
    pub(super) fn answers(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let Some(known) = self.scene.known.get_mut(&tuple).filter(|known| !known.is_empty()) else { return Ok(()) };
        let back = if step[2] % 4 == 1 { usize::from(step[2] >> 2) % known.len() } else { 0 };
        let at = known.len() - 1 - back;
        let numbers = &mut known[at];
        if step[3] % 8 == 1 {
            numbers.client_seq = numbers.client_seq.wrapping_add(77_777);
            numbers.sent = 0;
        }
        let (seq, ack) = (numbers.client_seq, off(numbers.server_seq.wrapping_add(1), step[4]));
        let mut tcp = self.scene.to_server(tuple).at(seq, ack).flags(SYN | ACK);
        tcp.wrong_checksum = step[5] % 4 == 1;
        if step[6] % 4 == 1 {
            tcp = tcp.says("data");
        }
        if step[7] % 8 == 1 {
            tcp.options = FAST_OPEN.to_vec();
        }
        self.client_sends(&tcp)
    }

    /// Any other segment of a client: its own SYN that crosses the server's, a reset, data, its end.
    pub(super) fn client_segment(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let Some(numbers) = self.scene.known.get_mut(&tuple).and_then(|known| known.last_mut()) else { return Ok(()) };
        let text = if step[6] % 2 == 1 { "data" } else { "" };
        let flags = [ACK, FIN | ACK, RST, RST | ACK, SYN, ACK, 0, FIN, SYN, RST | ACK, ACK][usize::from(step[2] % 11)];
        let ack = if step[7] % 4 == 1 { numbers.server_seq.wrapping_add(1) } else { numbers.next };
        let seq = if flags & SYN != 0 {
            numbers.client_seq
        } else {
            numbers.client_seq.wrapping_add(1).wrapping_add(numbers.sent)
        };
        if flags & SYN == 0 {
            numbers.sent = numbers.sent.wrapping_add(text.len() as u32 + u32::from(flags & FIN != 0));
        }
        let ack = if flags & ACK == 0 { 0 } else { off(ack, step[4]) };
        let mut tcp = self.scene.to_server(tuple).at(off(seq, step[3]), ack).flags(flags);
        tcp.wrong_checksum = step[5] % 4 == 1;
        self.client_sends(&tcp.says(text))
    }

    pub(super) fn repeat(&mut self, step: Step) -> Played {
        match self.scene.sent_before(step[1]) {
            Some(tcp) => self.client_sends(&tcp),
            None => Ok(()),
        }
    }

    /// A neighbour speaks as the client, whose numbers it guesses; or as the server, whose numbers it has got from the client.
    pub(super) fn forge(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let flags = [SYN, SYN | ACK, RST, RST | ACK, ACK, FIN | ACK, SYN | ACK, RST | ACK][usize::from(step[2] % 8)];
        let guess = 0x0101_0101 * u32::from(step[3]);
        if step[5].is_multiple_of(4) {
            let tcp = self.scene.to_server(tuple).at(guess, guess.wrapping_add(u32::from(step[4]))).flags(flags);
            return self.client_sends(&tcp);
        }
        let numbers = self.scene.knows(tuple).last();
        let (client_seq, server_seq) = numbers.map_or((guess, 77), |numbers| (numbers.client_seq, numbers.server_seq));
        let seq = if flags & SYN != 0 { server_seq } else { server_seq.wrapping_add(1) };
        let tcp =
            self.scene.to_client(tuple).at(off(seq, step[3]), off(client_seq.wrapping_add(1), step[4])).flags(flags);
        let tcp = if step[6] % 4 == 1 { tcp.says("data") } else { tcp };
        self.scene.forged_as_server(&tcp, !step[5].is_multiple_of(2));
        Ok(())
    }

    pub(super) fn answers_honestly(&mut self, tuple: Tuple) -> Played {
        let Some(numbers) = self.scene.knows(tuple).last() else { return Ok(()) };
        let ack = numbers.server_seq.wrapping_add(1);
        let syn_ack = self.scene.to_server(tuple).at(numbers.client_seq, ack).flags(SYN | ACK);
        self.client_sends(&syn_ack)
    }

    /// The client has got all, and the server's end; and closes.
    pub(super) fn closes_honestly(&mut self, tuple: Tuple) -> Played {
        let Some(numbers) = self.scene.knows(tuple).last() else { return Ok(()) };
        let end = self.scene.to_server(tuple).at(numbers.client_seq.wrapping_add(1), numbers.next);
        self.client_sends(&end)?;
        self.client_sends(&end.flags(FIN | ACK))
    }
}
