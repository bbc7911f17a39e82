//! Routes. Source: rtnetlink(7), linux/rtnetlink.h.

use std::net::IpAddr;

use taru_stdx::{Context, Error, Result};

use crate::address::Scope;
use crate::ipnet::{IpNet, family, octets};
use crate::socket::Netlink;
use crate::uapi::*;
use crate::wire::Message;

/// The size of the family header `struct rtmsg`.
const INFO: usize = 12;
/// The table that ip-route(8) shows when none is named.
pub const MAIN_TABLE: u32 = 254;

/// A route: where packets to `destination` go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The network it is for; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: IpNet,
    /// The router; none: the network is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The index of the link.
    pub link: Option<u32>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// Its priority: the smaller goes first.
    pub metric: Option<u32>,
    /// How far away the destination is.
    pub scope: Scope,
    /// The table, [`MAIN_TABLE`] for ordinary routes.
    pub table: u32,
    /// Who made it (`RTPROT_*`): 2 the kernel, 4 an administrator.
    pub protocol: u8,
    /// What it does (`RTN_*`): 1 sends to a host or router.
    pub action: u8,
}

impl Route {
    /// The default route through `gateway`.
    pub fn default_via(gateway: IpAddr) -> Route {
        let any: IpAddr = if gateway.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
        let mut route = Route::to(IpNet::host(gateway));
        // A prefix of no bits fits every address.
        route.destination = IpNet::new(any, 0).unwrap_or(route.destination);
        route.gateway = Some(gateway);
        route.scope = Scope::Global;
        route
    }

    /// The route to `destination` on a link: to be completed with [`Route::link`] or [`Route::gateway`].
    pub fn to(destination: IpNet) -> Route {
        Route {
            destination,
            gateway: None,
            link: None,
            source: None,
            metric: None,
            scope: Scope::Link,
            table: MAIN_TABLE,
            protocol: RTPROT_STATIC,
            action: RTN_UNICAST,
        }
    }

    /// Whether it is for all destinations.
    fn is_default(&self) -> bool {
        self.destination.prefix_len() == 0
    }

    fn message(&self, kind: u16, flags: u16) -> Message {
        let ip = self.destination.ip();
        let mut header = [0; INFO];
        header[0] = family(ip);
        header[1] = self.destination.prefix_len();
        // Tables above 255 are told by the attribute alone.
        header[4] = u8::try_from(self.table).unwrap_or(RT_TABLE_UNSPEC);
        header[5] = self.protocol;
        header[6] = self.scope.number();
        header[7] = self.action;
        let mut m = Message::new(kind, NLM_F_ACK | flags, &header);
        m.put_u32(RTA_TABLE, self.table);
        if !self.is_default() {
            m.put(RTA_DST, &octets(ip));
        }
        if let Some(link) = self.link {
            m.put_u32(RTA_OIF, link);
        }
        if let Some(gateway) = self.gateway {
            if gateway.is_ipv4() == ip.is_ipv4() {
                m.put(RTA_GATEWAY, &octets(gateway));
            } else {
                let mut value = u16::from(family(gateway)).to_ne_bytes().to_vec();
                value.extend(octets(gateway));
                m.put(RTA_VIA, &value);
            }
        }
        if let Some(source) = self.source {
            m.put(RTA_PREFSRC, &octets(source));
        }
        if let Some(metric) = self.metric {
            m.put_u32(RTA_PRIORITY, metric);
        }
        m
    }

    fn text(&self) -> String {
        let mut text =
            if self.is_default() { "`default`".to_owned() } else { format!("`{}`", self.destination) };
        if let Some(gateway) = self.gateway {
            text += &format!(" via `{gateway}`");
        }
        text
    }
}

impl Netlink {
    /// Adds `route`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Exists`] if there is one; what the kernel says of a gateway that no link reaches.
    pub fn add_route(&mut self, route: &Route) -> Result<()> {
        let what = || format!("add route {}", route.text());
        if route.gateway.is_none() && route.link.is_none() {
            return Err(Error::invalid(what()).because(Error::invalid("neither a gateway nor a link")));
        }
        self.request(route.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)).context(what)
    }
}
