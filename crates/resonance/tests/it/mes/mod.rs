//! Messages to a MES: foreign validators, foreign peers, dead letters.

mod dead_letters;
mod delivery;
mod schemas;
