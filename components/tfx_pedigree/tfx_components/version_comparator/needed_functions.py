"""A SavedModel's graph file without the functions that the named signatures do not reach.

TensorFlow builds every function of a model in Python when it loads it. Most are never called here: other signatures,
single layers, tables that only training used. What is kept is kept as it is, so a signature computes the same to the
bit. Every variable stays, so that damage to any of them is found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import saved_model_pb2, saved_object_graph_pb2

_SIGNATURES = "signatures"
_FUNCTIONS = ("function", "bare_concrete_function")
# Tables and the like: they are made and filled by functions of their own.
_RESOURCE = "resource"
_KNOWN = (*_FUNCTIONS, _RESOURCE, "user_object", "asset", "variable", "constant")


def without_other_functions(graph_file: bytes, signatures: Collection[str]) -> bytes | None:
    """None where the file is of a form that is not known here, or does not have these signatures. Nothing is checked:
    loading the result is what tells whether it is sound."""
    saved = saved_model_pb2.SavedModel.FromString(graph_file)
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].object_graph_def.nodes:
        return None
    graph = saved.meta_graphs[0]
    objects, library = graph.object_graph_def, graph.graph_def.library
    if any(_kind(node) not in _KNOWN for node in objects.nodes):
        return None
    roots = _only_signatures(objects.nodes, signatures)
    if len(roots) < len(signatures):
        return None
    needed = _reached(objects, [*roots, *_savers(objects.nodes)])
    called = {name for number in needed for name in _concrete(objects.nodes[number])}
    for number, node in enumerate(objects.nodes):
        if number not in needed and _kind(node) in (*_FUNCTIONS, _RESOURCE):
            node.CopyFrom(_nothing())
    for name in set(objects.concrete_functions) - called:
        del objects.concrete_functions[name]
    library.CopyFrom(_library_of(library, called))
    return bytes(saved.SerializeToString())


def _kind(node: Any) -> str:
    return node.WhichOneof("kind") or ""


def _nothing() -> Any:
    """In the place of a node, so that the others keep their numbers."""
    node = saved_object_graph_pb2.SavedObject()
    node.user_object.identifier = "_generic_user_object"
    node.user_object.version.producer = node.user_object.version.min_consumer = 1
    return node


def _only_signatures(nodes: Any, signatures: Collection[str]) -> list[int]:
    """Takes the others out, and gives the nodes of these."""
    found: list[int] = []
    for table in [nodes[child.node_id] for child in nodes[0].children if child.local_name == _SIGNATURES]:
        kept = [(one.local_name, one.node_id) for one in table.children if one.local_name in signatures]
        del table.children[:]
        for name, number in kept:
            table.children.add(local_name=name, node_id=number)
            found.append(number)
    return found


def _savers(nodes: Any) -> Iterator[int]:
    """What restores the state of others than variables; that state is restored too."""
    for number, node in enumerate(nodes):
        if _kind(node) not in _FUNCTIONS and node.saveable_objects:
            yield number
            for saver in node.saveable_objects.values():
                yield from (saver.save_function, saver.restore_function)


def _reached(objects: Any, roots: Iterable[int]) -> set[int]:
    found: set[int] = set()
    todo = list(roots)
    while todo:
        number = todo.pop()
        if number in found:
            continue
        found.add(number)
        node = objects.nodes[number]
        if _kind(node) == _RESOURCE:
            todo += [child.node_id for child in node.children]
        for name in _concrete(node):
            todo += objects.concrete_functions[name].bound_inputs
    return found


def _concrete(node: Any) -> list[str]:
    if _kind(node) == "function":
        return list(node.function.concrete_functions)
    return [node.bare_concrete_function.concrete_function_name] if _kind(node) == "bare_concrete_function" else []


def _library_of(library: Any, called: Iterable[str]) -> Any:
    """With all that these functions call, and all gradients, which are found by other names."""
    every = {function.signature.name: function for function in library.function}
    found: set[str] = set()
    todo = [*called, *(one.gradient_func for one in (*library.gradient, *library.registered_gradients))]
    while todo:
        name = todo.pop()
        if name in every and name not in found:
            found.add(name)
            todo += _mentioned(every[name])
    return function_pb2.FunctionDefLibrary(
        function=[function for name, function in every.items() if name in found],
        gradient=library.gradient,
        registered_gradients=library.registered_gradients,
    )


def _mentioned(function: Any) -> Iterator[str]:
    for node in function.node_def:
        yield node.op
        for value in node.attr.values():
            if value.HasField("func"):
                yield value.func.name
            elif value.HasField("list"):
                yield from (one.name for one in value.list.func)
