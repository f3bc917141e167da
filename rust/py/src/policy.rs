//! SPD entries as Python gives them.

use perilune_engine::{
    Action, Conditions, Direction, IcmpErrors, Masked, PolicyConfig, PolicyId, Populate,
    SelectorPair,
};
use pyo3::prelude::*;

use crate::errors::local_error;
use crate::values::{SelectorValues, selector_pair};

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PolicyValues {
    id: u32,
    priority: u32,
    action: String,
    way: String,
    conditions: ConditionsValues,
    populate: (bool, bool, bool, bool, bool),
    local: Vec<SelectorValues>,
    remote: Vec<SelectorValues>,
    hold: bool,
    icmp_errors: String,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct ConditionsValues {
    tos: Option<(u8, u8)>,
    traffic_class: Option<(u8, u8)>,
    flow_label: Option<u32>,
    level: Option<(u8, u8)>,
    user: Option<u32>,
    local_address: Option<(u128, u128)>,
    remote_address: Option<(u128, u128)>,
}

/// Parse an SPD entry.
pub(crate) fn config(values: &PolicyValues) -> PyResult<PolicyConfig> {
    let action = match values.action.as_str() {
        "bypass" => Action::Bypass,
        "discard" => Action::Discard,
        "protect" => Action::Protect,
        other => return Err(local_error(format!("{other:?} is no action of a policy"))),
    };
    let direction = match values.way.as_str() {
        "both" => None,
        "in" => Some(Direction::Inbound),
        "out" => Some(Direction::Outbound),
        other => return Err(local_error(format!("{other:?} is no way of packets"))),
    };
    let (local_address, remote_address, protocol, local_port, remote_port) = values.populate;
    Ok(PolicyConfig {
        id: PolicyId(values.id),
        priority: values.priority,
        action,
        direction,
        selectors: SelectorPair {
            conditions: conditions(&values.conditions),
            ..selector_pair(&values.local, &values.remote)?
        },
        populate: Populate {
            local_address,
            remote_address,
            protocol,
            local_port,
            remote_port,
        },
        hold: values.hold,
        icmp_errors: icmp_errors(&values.icmp_errors)?,
    })
}

fn icmp_errors(which: &str) -> PyResult<IcmpErrors> {
    match which {
        "checked" => Ok(IcmpErrors::Checked),
        "related" => Ok(IcmpErrors::Related),
        "selected" => Ok(IcmpErrors::Selected),
        other => Err(local_error(format!(
            "{other:?} does not say which ICMP errors SAs carry"
        ))),
    }
}

fn conditions(values: &ConditionsValues) -> Conditions {
    Conditions {
        tos: values.tos.map(masked),
        traffic_class: values.traffic_class.map(masked),
        flow_label: values.flow_label,
        level: values.level,
        user: values.user,
        local_address: values.local_address.map(masked),
        remote_address: values.remote_address.map(masked),
    }
}

fn masked<T>((value, mask): (T, T)) -> Masked<T> {
    Masked { value, mask }
}
