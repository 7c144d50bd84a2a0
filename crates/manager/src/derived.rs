//! The request of a derived manager: the fields in which it differs from the configuration.

use std::fmt;

use crate::config::Config;
use oauth::{Grant, GrantType, Scope, ValueSet};

/// Identifies a manager among a manager and its derived managers. No id is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ManagerId(pub u32);

/// The id of the manager from which the others are derived.
pub const PARENT: ManagerId = ManagerId(0);

/// The request of a derived manager. A field that is `None` falls back to the configured value.
#[derive(Clone)]
pub struct DerivedRequest {
    /// The type of the grant.
    pub grant_type: GrantType,
    /// The requested scope.
    pub scope: Option<Scope>,
    /// The requested audiences.
    pub audience: Option<ValueSet>,
    /// The requested resources.
    pub resource: Option<ValueSet>,
    /// Additional form fields.
    pub parameters: Option<Vec<(String, String)>>,
}

impl DerivedRequest {
    /// Returns the grant to request under this configuration.
    #[must_use]
    pub fn grant(&self, config: &Config) -> Grant {
        let own = &config.grant;
        Grant {
            client_id: own.client_id.clone(),
            authentication: own.authentication,
            grant_type: self.grant_type.clone(),
            scope: self.scope.clone().or_else(|| own.scope.clone()),
            audience: self
                .audience
                .clone()
                .unwrap_or_else(|| own.audience.clone()),
            resource: self
                .resource
                .clone()
                .unwrap_or_else(|| own.resource.clone()),
            parameters: self
                .parameters
                .clone()
                .unwrap_or_else(|| own.parameters.clone()),
        }
    }

    /// Whether a timer may refresh the token. Only calls refresh users' tokens, so that the manager
    /// requests no token for a user who has left.
    pub(crate) const fn refreshes_in_background(&self, config: &Config) -> bool {
        config.background_refresh && !self.grant_type.is_exchange()
    }
}

/// Shows no field, because parameters may be confidential.
impl fmt::Debug for DerivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedRequest").finish_non_exhaustive()
    }
}
