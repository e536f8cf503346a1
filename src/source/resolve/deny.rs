//! Which addresses a trigger may never make this server connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` may be scraped: no loopback (unless `allow_loopback`), nothing unspecified,
/// link-local, multicast, reserved or of a metadata service, and no IPv6 address that stands for
/// such an IPv4 address.
pub(super) fn allowed(address: IpAddr, allow_loopback: bool) -> bool {
    match address {
        IpAddr::V4(v4) => allowed_v4(v4, allow_loopback),
        IpAddr::V6(v6) => {
            allowed_v6(v6, allow_loopback)
                && embedded(v6).is_none_or(|v4| allowed_v4(v4, allow_loopback))
        }
    }
}

fn allowed_v4(address: Ipv4Addr, allow_loopback: bool) -> bool {
    let [first, ..] = address.octets();
    // Metadata services outside of the link-local block: Alibaba Cloud and the Azure wire server.
    let metadata = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
    // 240/4 is reserved and ends with the broadcast address.
    (allow_loopback || !address.is_loopback())
        && first != 0
        && first < 240
        && !address.is_link_local()
        && !address.is_multicast()
        && !metadata.contains(&address)
}

fn allowed_v6(address: Ipv6Addr, allow_loopback: bool) -> bool {
    // The metadata service of EC2.
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    (allow_loopback || !address.is_loopback())
        && !address.is_unspecified()
        && !address.is_unicast_link_local()
        && !address.is_multicast()
        && address != metadata
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (64:ff9b::/96 and
/// 64:ff9b:1::/48 as it is mostly used) and 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0) if (g, h) == (0, 1) || (g, h) == (0, 0) => None,
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) => Some(v4(g, h)),
        (0x64, 0xff9b, 0 | 1, ..) => Some(v4(g, h)),
        (0x2002, high, low, ..) => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn no_spelling_of_a_forbidden_address_passes() {
        let rows: &[(&str, bool, bool)] = &[
            ("10.0.0.7", true, true),
            ("192.168.1.1", true, true),
            ("100.64.0.1", true, true),
            ("93.184.216.34", true, true),
            ("fd00::7", true, true),
            ("2001:db8::1", true, true),
            ("::ffff:10.0.0.7", true, true),
            ("127.0.0.1", false, true),
            ("127.255.0.3", false, true),
            ("::1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("::", false, false),
            ("::ffff:0.0.0.0", false, false),
            ("169.254.169.254", false, false),
            ("169.254.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("::169.254.169.254", false, false),
            ("::ffff:0:169.254.169.254", false, false),
            ("64:ff9b::169.254.169.254", false, false),
            ("64:ff9b:1::a9fe:a9fe", false, false),
            ("2002:a9fe:a9fe::1", false, false),
            ("fe80::1", false, false),
            ("febf::1", false, false),
            ("fd00:ec2::254", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", false, false),
            ("224.0.0.1", false, false),
            ("ff02::1", false, false),
            ("240.0.0.1", false, false),
            ("255.255.255.255", false, false),
        ];
        for (address, strict, with_loopback) in rows {
            let parsed = address.parse().unwrap();
            assert_eq!(allowed(parsed, false), *strict, "{address}");
            assert_eq!(allowed(parsed, true), *with_loopback, "{address} with loopback");
        }
    }
}
