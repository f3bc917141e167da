//! SPD and SAD as one immutable picture, and how a transaction makes the next one.

use std::collections::HashSet;
use std::sync::Arc;

use crate::change::{Change, Direction, PolicyConfig, PolicyId, SaConfig, SaId};
use crate::error::EngineError;
use crate::path::{Encapsulation, Path};
use crate::sa::{SaCommon, SadEntry};
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
}

/// What a transaction did, for those who keep something outside the tables.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) added: Vec<Arc<SaCommon>>,
    pub(crate) removed: Vec<Arc<SaCommon>>,
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
        self.spd.put(config.clone());
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
        if effects.removed_policies.is_empty() {
            return Ok(());
        }
        let mut policies = self.inbound.iter().map(|entry| entry.sa.common.policy);
        let used = policies.find(|policy| effects.removed_policies.contains(policy));
        used.map_or(Ok(()), |policy| Err(EngineError::PolicyInUse(policy)))
    }

    fn add_sa(
        &mut self,
        config: &SaConfig,
        effects: &mut Effects,
        now: Instant,
    ) -> Result<(), EngineError> {
        if self.has_sa(config.id()) {
            return Err(EngineError::DuplicateSa(config.id()));
        }
        let unknown = EngineError::UnknownPolicy(config.policy);
        let policy = self.spd.entry_mut(config.policy).ok_or(unknown)?;
        if config.direction == Direction::Inbound {
            let entry = SadEntry::<crate::sa::InboundSa>::new(config, now)?;
            effects.added.push(Arc::clone(&entry.sa.common));
            self.inbound.put(entry);
        } else {
            let entry = SadEntry::<crate::sa::OutboundSa>::new(config, &self.inbound, now)?;
            effects.added.push(Arc::clone(&entry.sa.common));
            policy.sas.push(Arc::new(entry));
        }
        Ok(())
    }

    fn remove_sa(&mut self, id: SaId, effects: &mut Effects) -> Result<(), EngineError> {
        let unknown = EngineError::UnknownSa(id);
        let removed = if id.direction == Direction::Inbound {
            Arc::clone(&self.inbound.remove(id.spi).ok_or(unknown)?.sa.common)
        } else {
            let (policy, place) = self.spd.find_sa(|entry| entry.id() == id).ok_or(unknown)?;
            Arc::clone(&policy.sas.remove(place).sa.common)
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
            let moved = self
                .inbound
                .get(id.spi)
                .ok_or(unknown)?
                .moved(path, encapsulation);
            *crate::lock(&moved.sa.reported) = None;
            self.inbound.put(moved);
            return Ok(());
        }
        let renamed = SaId {
            remote: path.remote,
            ..id
        };
        if renamed != id && self.has_sa(renamed) {
            return Err(EngineError::DuplicateSa(renamed));
        }
        let (policy, place) = self.spd.find_sa(|entry| entry.id() == id).ok_or(unknown)?;
        if let Some(entry) = policy.sas.get_mut(place) {
            *entry = Arc::new(entry.moved(path, encapsulation));
        }
        Ok(())
    }

    fn has_sa(&self, id: SaId) -> bool {
        match id.direction {
            Direction::Inbound => self.inbound.get(id.spi).is_some(),
            Direction::Outbound => self
                .spd
                .entries()
                .flat_map(|entry| &entry.sas)
                .any(|entry| entry.id() == id),
        }
    }
}
