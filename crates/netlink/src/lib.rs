//! Links, addresses and routes over a synchronous netlink socket.
