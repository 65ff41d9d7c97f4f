use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

#[test]
fn ports_have_the_kernels_names() {
    for good in ["eth0", "enp3s0f1", "end0", "wlan0", "eth0.5", "a", "enx001122334455"] {
        assert_eq!(Port::parse(good).unwrap().name(), good);
    }
    for bad in
        ["", "lo", ".", "..", "-a", "eth0 ", "eth*", "!eth0", "et/h0", "eth0\n", "ethernetport0000", "é"]
    {
        assert_eq!(Port::parse(bad).unwrap_err().param, "port", "{bad:?}");
    }
}

#[test]
fn addresses_are_those_that_a_box_may_have() {
    for good in ["192.168.5.10/24", "10.0.0.1/8", "192.0.2.1/31", "192.0.2.0/31", "192.0.2.7/32"] {
        assert_eq!(Address::parse(good).unwrap().to_string(), good);
    }
    for good in ["2001:db8::10/64", "fd00::1/8", "2001:db8::/64", "2001:db8::1/128"] {
        assert_eq!(Address::parse(good).unwrap().to_string(), good);
    }
    for (rule, bad) in [
        ("length", "192.168.5.10"),
        ("length", "192.168.5.10/"),
        ("length", "192.168.5.10/0"),
        ("length", "192.168.5.10/024"),
        ("length", "192.168.5.10/+24"),
        ("length", "192.168.5.10/33"),
        ("length", "192.168.05.10/24"),
        ("length", "2001:db8::1/129"),
        ("length", "box/24"),
        ("length", "192.168.5.10/24\nDNS=1.1.1.1"),
        ("may have", "0.0.0.0/24"),
        ("may have", "127.0.0.1/8"),
        ("may have", "169.254.1.2/16"),
        ("may have", "224.0.0.1/24"),
        ("may have", "255.255.255.255/32"),
        ("may have", "::1/128"),
        ("may have", "::/64"),
        ("may have", "fe80::1/64"),
        ("may have", "ff02::1/64"),
        ("may have", "::ffff:192.0.2.1/96"),
        ("first or the last", "192.168.5.0/24"),
        ("first or the last", "192.168.5.255/24"),
        ("first or the last", "10.255.255.255/8"),
    ] {
        let mistake = Address::parse(bad).unwrap_err();
        assert!(mistake.param == "address" && mistake.rule.contains(rule), "{bad:?}: {mistake:?}");
    }
}

#[test]
fn a_gateway_is_in_the_network_and_name_servers_are_few() {
    let judged = |address: &str, gateway: Option<&str>, dns: &[&str]| {
        let dns = dns.iter().map(|ip| ip.parse().unwrap()).collect();
        let gateway = gateway.map(|ip| ip.parse().unwrap());
        Static::new(Address::parse(address).unwrap(), gateway, dns).map_err(|mistake| mistake.param)
    };
    assert!(judged("192.168.5.10/24", Some("192.168.5.1"), &["1.1.1.1", "2001:db8::1"]).is_ok());
    assert!(judged("2001:db8::10/64", Some("fe80::1"), &[]).is_ok());
    assert!(judged("2001:db8::10/64", Some("2001:db8::1"), &[]).is_ok());
    for bad in ["192.168.6.1", "192.168.5.10", "fe80::1", "2001:db8::1", "127.0.0.1", "0.0.0.0"] {
        assert_eq!(judged("192.168.5.10/24", Some(bad), &[]).unwrap_err(), "gateway", "{bad}");
    }
    assert_eq!(judged("2001:db8::10/64", Some("192.168.5.1"), &[]).unwrap_err(), "gateway");
    for bad in [&["127.0.0.53"][..], &["1.1.1.1", "1.1.1.1"], &["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]] {
        assert_eq!(judged("192.168.5.10/24", None, bad).unwrap_err(), "dns", "{bad:?}");
    }
}

#[test]
fn files_say_what_is_set_and_keep_the_box_to_be_found() {
    let text =
        Setting::parse("eth1 192.168.5.10/24 gateway=192.168.5.1 dns=192.168.5.1,1.1.1.1").unwrap().file();
    assert_eq!(
        text,
        "[Match]\nName=eth1\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nAddress=192.168.5.10/24\n\
         Gateway=192.168.5.1\nDNS=192.168.5.1\nDNS=1.1.1.1\nLinkLocalAddressing=yes\nIPv6AcceptRA=yes\n\
         MulticastDNS=yes\nLLMNR=no\n"
    );
    let text = Setting::parse("wlan0 dhcp").unwrap().file();
    assert!(text.contains("\nDHCP=yes\nLinkLocalAddressing=yes\n") && !text.contains("Address="), "{text}");
    assert!(text.ends_with("RouteMetric=2048\n"), "{text}");
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

proptest! {
    #[test]
    fn what_is_read_has_one_spelling(
        line in "(eth0|lo|-|e n) (dhcp|[0-9a-f.:]{1,12}/[0-9]{1,3})( gateway=[0-9a-f.:]{1,12}| dns=[0-9.,:]{1,16}){0,3}"
    ) {
        if let Some(setting) = Setting::parse(&line) {
            prop_assert_eq!(setting.to_string(), line);
        }
    }

    #[test]
    fn what_is_set_is_read_back_and_its_file_has_one_line_for_each_part(
        own in ip(), bits in 1..=128_u8, way in proptest::option::of(any::<u128>()), dns in prop::collection::vec(ip(), 0..5),
    ) {
        let Ok(address) = Address::parse(&format!("{own}/{bits}")) else { return Ok(()) };
        // A neighbour in the same network, as far as it has room for one.
        let gateway = way.map(|way| match own {
            IpAddr::V4(own) => IpAddr::V4(Ipv4Addr::from_bits(own.to_bits() ^ (way as u32 & !(address.mask() as u32)))),
            IpAddr::V6(own) => IpAddr::V6(Ipv6Addr::from_bits(own.to_bits() ^ (way & !address.mask()))),
        });
        let Ok(fixed) = Static::new(address, gateway, dns.clone()) else { return Ok(()) };
        let setting = Setting { port: Port::parse("eth0").unwrap(), fixed: Some(fixed) };
        prop_assert_eq!(Setting::parse(&setting.to_string()), Some(setting.clone()));
        let text = setting.file();
        let count = |key: &str| text.lines().filter(|line| line.starts_with(key)).count();
        prop_assert_eq!(count("Address="), 1);
        prop_assert_eq!(count("Gateway="), usize::from(gateway.is_some()));
        prop_assert_eq!(count("DNS="), dns.len());
        prop_assert_eq!(count("LinkLocalAddressing=yes"), 1);
        prop_assert_eq!(count("MulticastDNS=yes"), 1);
        prop_assert_eq!(count("["), 3);
        prop_assert!(text.lines().all(|line| line.bytes().all(|b| b.is_ascii_graphic())), "{}", text);
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = Setting::parse(&text);
        let _ = (Address::parse(&text), Port::parse(&text));
    }
}
