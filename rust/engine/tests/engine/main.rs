//! The engine from outside: what packets of hosts, peers and strangers become.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

mod bundles;
mod clear;
mod conditions;
mod crossing;
mod databases;
mod ends;
mod fragments;
mod fragments_in_the_clear;
mod headers;
mod icmp_errors;
mod icmp_messages;
mod lifetimes;
mod modes;
mod path_mtu;
mod policies;
mod precedence;
mod sad_items;
mod sas;
mod sequence;
mod together;
mod tunnel;
mod turns;
mod waiting;
