"""What crun's tests of mounts use of Python's libmount binding, which Debian does not package."""


class _Entry:
    def __init__(self, fields):
        self.target = fields[4].replace("\\040", " ")
        self.vfs_options = fields[5]
        # After the separator: type, source, options of the file system.
        self.fs_options = fields[fields.index("-") + 3]


class Table:
    """The entries of a file in the format of /proc/PID/mountinfo."""

    def __init__(self, path):
        with open(path) as lines:
            rows = [line.split() for line in lines]
        self.entries = [_Entry(row) for row in rows if len(row) > 9 and "-" in row]

    def find_target(self, path):
        """The mount that is visible at `path`: the last one there."""
        found = [entry for entry in self.entries if entry.target == path]
        return found[-1] if found else None
