//! The form of an SA's packets, parsed from Python's plain values.

use std::net::IpAddr;

use perilune_engine::{
    DestinationOptions, DontFragment, Dscp, DscpMap, Duration, Fragmentation, Lookup, Mode,
    PreservedAddresses, Processing, Protocol, TfcPadding,
};
use pyo3::prelude::*;

use crate::errors::local_error;
use crate::values::address;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ProcessingValues {
    mode: String,
    inner: Option<(String, String)>,
    df: String,
    dscp: Option<[u8; DscpMap::COUNT]>,
    hop_limit: u8,
    flow_label: u32,
    fragmentation: String,
    tfc: Option<TfcValue>,
    compression: Option<u16>,
    destination_options: String,
    preserved: (bool, bool),
    path_mtu: Option<u16>,
    path_mtu_age_ns: u64,
    believe_icmp: bool,
}

#[derive(FromPyObject)]
enum TfcValue {
    Octets(u16),
    Name(String),
}

/// Parse the number of a security protocol.
pub(crate) fn protocol(number: u8) -> PyResult<Protocol> {
    [Protocol::Ah, Protocol::Esp]
        .into_iter()
        .find(|protocol| protocol.number() == number)
        .ok_or_else(|| local_error(format!("{number} is neither AH nor ESP")))
}

/// Parse what an inbound SA is found by.
pub(crate) fn lookup(name: &str) -> PyResult<Lookup> {
    one_of(
        "lookup of an SA",
        name,
        &[
            ("spi", Lookup::Spi),
            ("spi-destination", Lookup::SpiDestination),
            ("spi-destination-source", Lookup::SpiDestinationSource),
        ],
    )
}

fn dscp(values: &ProcessingValues) -> PyResult<Dscp> {
    let Some(outer) = values.dscp else {
        return Ok(Dscp::Copy);
    };
    let map = DscpMap::new(outer).ok_or_else(|| local_error("a DSCP is more than 63"))?;
    Ok(Dscp::Map(map))
}

/// Parse the form of an SA's packets.
pub(crate) fn processing(values: &ProcessingValues) -> PyResult<Processing> {
    let (source, destination) = values.preserved;
    Ok(Processing {
        mode: mode(values)?,
        df: one_of(
            "treatment of DF",
            &values.df,
            &[
                ("clear", DontFragment::Clear),
                ("copy", DontFragment::Copy),
                ("set", DontFragment::Set),
            ],
        )?,
        dscp: dscp(values)?,
        hop_limit: values.hop_limit,
        flow_label: values.flow_label,
        fragmentation: one_of(
            "time to fragment",
            &values.fragmentation,
            &[
                ("after", Fragmentation::After),
                ("before", Fragmentation::Before),
            ],
        )?,
        tfc: tfc(values.tfc.as_ref())?,
        compression: values.compression,
        destination_options: one_of(
            "place of destination options",
            &values.destination_options,
            &[
                ("inside", DestinationOptions::Inside),
                ("outside", DestinationOptions::Outside),
            ],
        )?,
        preserved: PreservedAddresses {
            source,
            destination,
        },
        path_mtu: values.path_mtu,
        path_mtu_age: Duration(values.path_mtu_age_ns),
        believe_icmp: values.believe_icmp,
    })
}

fn mode(values: &ProcessingValues) -> PyResult<Mode> {
    let inner: Option<(IpAddr, IpAddr)> = match &values.inner {
        Some((local, remote)) => Some((address(local)?, address(remote)?)),
        None => None,
    };
    match (values.mode.as_str(), inner) {
        ("any", None) => Ok(Mode::Any),
        ("beet", Some((local, remote))) => Ok(Mode::Beet { local, remote }),
        ("transport", None) => Ok(Mode::Transport),
        ("tunnel", None) => Ok(Mode::Tunnel),
        (other, _) => Err(local_error(format!(
            "{other:?} is no mode, or not one with these inner addresses"
        ))),
    }
}

fn tfc(value: Option<&TfcValue>) -> PyResult<TfcPadding> {
    match value {
        None => Ok(TfcPadding::None),
        Some(TfcValue::Octets(octets)) => Ok(TfcPadding::To(*octets)),
        Some(TfcValue::Name(name)) if name == "mtu" => Ok(TfcPadding::PathMtu),
        Some(TfcValue::Name(name)) => Err(local_error(format!("{name:?} is no size of padding"))),
    }
}

fn one_of<T: Copy>(what: &str, name: &str, known: &[(&str, T)]) -> PyResult<T> {
    known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
        .ok_or_else(|| local_error(format!("{name:?} is no {what}")))
}
