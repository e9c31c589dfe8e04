//! Delivery.
use std::sync::Arc;
use crate::config::Config;
use crate::error::ServerError;
use crate::node::World;
pub(crate) fn start_delivery(_: &Config, _: &moneta_keys::KeyRing, _: &World) -> Result<Arc<dyn moneta_ports::AlertDelivery>, ServerError> {
    struct No;
    impl moneta_ports::AlertDelivery for No {
        fn deliver(&self, _: moneta_ports::Alert) -> moneta_ports::BoxFuture<'_, Result<(), moneta_ports::PortError>> { Box::pin(async { Ok(()) }) }
    }
    Ok(Arc::new(No))
}
