//! Single packets through the compiled program, exotic ones above all: each test is a sentence, and
//! says the verdict and all that was counted.

mod control;
mod data;
mod ftps;
mod half_open;
mod headers;
mod links;
mod options;
mod view;

use ftptrack_tests::subject::test_run::Verdict;

const PASSES: Verdict = Verdict::Pass;
const IS_DENIED: Verdict = Verdict::Drop;
