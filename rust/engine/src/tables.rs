//! SPD and SAD as one immutable picture, and how a transaction makes the next one.

use std::collections::HashSet;
use std::sync::Arc;

use crate::change::{Action, Change, Direction, PolicyConfig, PolicyId, SaConfig, SaId};
use crate::cow_map::CowMap;
use crate::either_sa::EitherSa;
use crate::error::EngineError;
use crate::outbound_sad::OutboundSad;
use crate::path::{Encapsulation, Path};
use crate::processing::Processing;
use crate::sa::{InboundSa, OutboundSa, SadEntry};
use crate::sad::InboundSad;
use crate::spd::Spd;
use crate::time::Instant;

/// What packets are looked up in.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    /// Which picture this is; counts up.
    pub(crate) generation: u64,
    pub(crate) spd: Spd,
    pub(crate) inbound: InboundSad,
    /// Outbound SAs by SPI and where the peer is; the SPD has the same ones, in their order.
    pub(crate) outbound: OutboundSad,
    /// How many inbound SAs name each SPD entry, which has a list of the outbound ones itself.
    users: CowMap<PolicyId, u32>,
    /// That of the SA that was added last: most have the same and share it.
    form: Option<Arc<Processing>>,
}

/// What a transaction did, for those who keep something outside the tables.
#[derive(Default)]
pub(crate) struct Effects {
    /// And when it wants to be replaced for its age.
    pub(crate) added: Vec<(EitherSa, Option<Instant>)>,
    pub(crate) removed: Vec<EitherSa>,
    pub(crate) removed_policies: HashSet<PolicyId>,
}

impl Tables {
    /// The tables after a transaction; these stay as they are.
    pub(crate) fn after(
        &self,
        changes: &[Change],
        now: Instant,
    ) -> Result<(Self, Effects), EngineError> {
        let mut next = Self {
            generation: self.generation.wrapping_add(1),
            ..self.clone()
        };
        let mut effects = Effects::default();
        for change in changes {
            next.make(change, &mut effects, now)?;
        }
        next.check_removed(&effects)?;
        Ok((next, effects))
    }

    fn make(
        &mut self,
        change: &Change,
        effects: &mut Effects,
        now: Instant,
    ) -> Result<(), EngineError> {
        match change {
            Change::AddPolicy(config) => self.add_policy(config, effects),
            Change::AddSa(config) => self.add_sa(config, effects, now),
            Change::MoveSa {
                sa,
                path,
                encapsulation,
            } => self.move_sa(*sa, *path, *encapsulation),
            Change::ReserveSequence { sa, until } => self.reserve_sequence(*sa, *until),
            Change::RemovePolicy(id) => self.remove_policy(*id, effects),
            Change::RemoveSa(id) => self.remove_sa(*id, effects),
        }
    }

    fn add_policy(
        &mut self,
        config: &PolicyConfig,
        effects: &mut Effects,
    ) -> Result<(), EngineError> {
        if !config.selectors.is_whole() {
            return Err(EngineError::Selector);
        }
        if config.action == Action::Protect && config.direction.is_some() {
            return Err(EngineError::OneWay(config.id));
        }
        let asks_the_same = self.spd.config(config.id).is_some_and(|old| {
            old.icmp_errors == config.icmp_errors
                && old.selectors.conditions == config.selectors.conditions
        });
        if !self.spd.put(config.clone()) {
            return Err(EngineError::Full);
        }
        // Entries do not know their inbound SAs, so this looks at each that there is.
        if !asks_the_same && self.users.get(&config.id).is_some() {
            self.inbound.renew(config);
        }
        effects.removed_policies.remove(&config.id);
        Ok(())
    }

    /// Take a policy out. Inbound SAs may still name it until the transaction ends.
    fn remove_policy(&mut self, id: PolicyId, effects: &mut Effects) -> Result<(), EngineError> {
        let entry = self.spd.remove(id).ok_or(EngineError::UnknownPolicy(id))?;
        if !entry.sas.is_empty() {
            return Err(EngineError::PolicyInUse(id));
        }
        effects.removed_policies.insert(id);
        Ok(())
    }

    fn check_removed(&self, effects: &Effects) -> Result<(), EngineError> {
        let mut removed = effects.removed_policies.iter();
        let used = removed.find(|policy| self.users.get(policy).is_some());
        used.map_or(Ok(()), |policy| Err(EngineError::PolicyInUse(*policy)))
    }

    /// Note that an SPD entry has an inbound SA more.
    fn add_user(&mut self, policy: PolicyId) {
        let users = self.users.get(&policy).copied().unwrap_or(0);
        self.users.insert(policy, users.saturating_add(1));
    }

    /// Note that an SPD entry has an inbound SA less.
    fn remove_user(&mut self, policy: PolicyId) {
        match self.users.remove(&policy) {
            None | Some(0 | 1) => {}
            Some(users) => {
                self.users.insert(policy, users.saturating_sub(1));
            }
        }
    }

    fn add_sa(
        &mut self,
        config: &SaConfig,
        effects: &mut Effects,
        now: Instant,
    ) -> Result<(), EngineError> {
        if self.has_sa(config) {
            return Err(EngineError::DuplicateSa(config.id()));
        }
        let form = self.form_like(&config.processing);
        let unknown = EngineError::UnknownPolicy(config.policy);
        let policy = self.spd.entry_mut(config.policy).ok_or(unknown)?;
        let added = if config.direction == Direction::Inbound {
            let entry = SadEntry::<InboundSa>::new(config, &form, &policy.config, now)?;
            let sa = Arc::clone(&entry.sa);
            self.inbound.put(entry);
            self.add_user(config.policy);
            EitherSa::Inbound(sa)
        } else {
            let entry = Arc::new(SadEntry::<OutboundSa>::new(
                config,
                &form,
                &self.inbound,
                now,
            )?);
            policy.sas.push(Arc::clone(&entry));
            let sa = Arc::clone(&entry.sa);
            self.outbound.insert(entry);
            EitherSa::Outbound(sa)
        };
        effects.added.push((
            added,
            config.lifetimes.soft.time.map(|span| now.after(span)),
        ));
        Ok(())
    }

    /// A processing to be shared.
    fn form_like(&mut self, wanted: &Processing) -> Arc<Processing> {
        let known = self.form.as_ref().filter(|form| ***form == *wanted);
        let form = known.map_or_else(|| Arc::new(wanted.clone()), Arc::clone);
        self.form = Some(Arc::clone(&form));
        form
    }

    fn reserve_sequence(&self, id: SaId, until: u64) -> Result<(), EngineError> {
        let entry = self.outbound.get(&(id.spi, id.remote));
        let entry = entry.ok_or(EngineError::UnknownSa(id))?;
        entry.sa.sequence.reserve(until);
        Ok(())
    }

    fn remove_sa(&mut self, id: SaId, effects: &mut Effects) -> Result<(), EngineError> {
        let unknown = EngineError::UnknownSa(id);
        let removed = if id.direction == Direction::Inbound {
            let entry = self.inbound.remove(id).ok_or(unknown)?;
            self.remove_user(entry.sa.common.policy);
            EitherSa::Inbound(Arc::clone(&entry.sa))
        } else {
            let entry = self.outbound.remove(&(id.spi, id.remote)).ok_or(unknown)?;
            if let Some(policy) = self.spd.entry_mut(entry.sa.common.policy) {
                policy.sas.remove(&entry);
            }
            EitherSa::Outbound(Arc::clone(&entry.sa))
        };
        effects.removed.push(removed);
        Ok(())
    }

    fn move_sa(
        &mut self,
        id: SaId,
        path: Path,
        encapsulation: Encapsulation,
    ) -> Result<(), EngineError> {
        let unknown = EngineError::UnknownSa(id);
        if id.direction == Direction::Inbound {
            let moved = self.inbound.remove(id).ok_or(unknown)?;
            let moved = moved.moved(path, encapsulation);
            if self.inbound.is_taken(moved.sa.common.lookup, moved.id()) {
                return Err(EngineError::DuplicateSa(moved.id()));
            }
            moved.sa.shown.forget_report();
            self.inbound.put(moved);
            return Ok(());
        }
        let renamed = (id.spi, path.remote);
        if path.remote != id.remote && self.outbound.get(&renamed).is_some() {
            return Err(EngineError::DuplicateSa(SaId::new(
                id.direction,
                id.spi,
                path,
            )));
        }
        let old = self.outbound.remove(&(id.spi, id.remote)).ok_or(unknown)?;
        let left = old.path();
        if left.remote.ip() != path.remote.ip() || left.local.ip() != path.local.ip() {
            old.sa.path_mtu.forget();
        }
        let new = Arc::new(old.moved(path, encapsulation));
        if let Some(policy) = self.spd.entry_mut(old.sa.common.policy) {
            policy.sas.replace(&old, &new);
        }
        self.outbound.insert(new);
        Ok(())
    }

    fn has_sa(&self, config: &SaConfig) -> bool {
        match config.direction {
            Direction::Inbound => self.inbound.is_taken(config.lookup, config.id()),
            Direction::Outbound => {
                let key = (config.spi, config.path.remote);
                self.outbound.get(&key).is_some()
            }
        }
    }
}
