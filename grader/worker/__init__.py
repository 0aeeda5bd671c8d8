"""The far side of the wall: the only place where student code is executed.

    zygote.py    imports torch once, then forks a worker each time it is asked; never runs student code itself
    confine.py   what a fork does to itself before it listens: namespaces, mounts, limits, capabilities
    home.py      its own folder and user, where there are no namespaces
    landlock.py  what it may read and write, where there are no namespaces
    syscalls.py  the system-call filter that it puts itself behind last
    serve.py     answers requests off the wire, one at a time
    objects.py   describes and converts what student code made
    weights.py   reads a `.pth`
    plain.py     the same answers from an ordinary process, for a student's own machine

Nothing in here is trusted by anybody, and nothing on the trusted side imports it.
"""
