//! Test cases as data, and what plays them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`dialogues`] | what is said on the control connection and what it opens |
//! | [`evasions`] | packets that a server reads in another way than a filter would |
//! | [`scenarios`] | beginnings and ends, encapsulations, floods and races in whole networks |
//! | [`fuzzing`] | any bytes as a configuration, a capture, an answer of another program |
//! | [`compat`] | every server with every client |
//! | [`model`] | the packet path in user space: a differential test |
//! | [`security_page`] | the generated part of `docs/security.md` |

pub mod compat;
pub mod dialogues;
pub mod evasions;
pub mod fuzzing;
pub mod model;
pub mod scenarios;
pub mod security_page;
