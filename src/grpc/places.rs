//! How many connections there may be, in all and of one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::grpc::metrics::Closed;

/// Who holds how many connections; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    all: usize,
    of_address: usize,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// So many in all, and of one address.
    pub(crate) fn new(all: usize, of_address: usize) -> Self {
        Self { all, of_address, by_address: Arc::default() }
    }

    /// A place for a connection from `address`, if there is one.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Place, Closed> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.values().sum::<usize>() >= self.all {
            return Err(Closed::limit);
        }
        let of_address = by_address.entry(address).or_default();
        if *of_address >= self.of_address {
            return Err(Closed::address_limit);
        }
        *of_address += 1;
        Ok(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.places.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// The address that counts for [`Places`].
pub(crate) fn address_of(socket: SocketAddr) -> IpAddr {
    socket.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::Places;
    use crate::grpc::metrics::Closed;

    #[test]
    fn places_are_limited_in_all_and_for_each_address_and_come_back() {
        let places = Places::new(16, 4);
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let mut held = Vec::new();
        for last in 0..4 {
            for _ in 0..4 {
                held.push(places.take(address(last)).unwrap());
            }
        }
        assert_eq!(held.len(), 16);
        assert!(matches!(places.take(address(9)), Err(Closed::limit)));
        drop(held.pop());
        assert!(matches!(places.take(address(0)), Err(Closed::address_limit)));
        assert!(places.take(address(9)).is_ok());
        drop(held);
        assert!(places.by_address.lock().unwrap().is_empty());
    }
}
