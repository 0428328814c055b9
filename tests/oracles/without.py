"""Statistics that no oracle holds, and why: names that are no numbers, and what is tested at its borders."""

_NO_NUMBERS = {
    "an index: what a row is about": """
        feature position token unit coordinate token_number own_row text_row feature_a feature_b
        correlated_feature correlated_unit coarse_feature child sibling other_sibling
        life_layer life_from life_to overlap_region example angle_rank world_what
    """,
    "a name that a person or a file gave": """
        dictionary token_set set_group set_rule set_preview release sae_id of_model hook_kind
        feature_tags feature_note neuronpedia_label neuronpedia_page training_run sweep_analysis
        sweep_of sweep_words sweep_task trained_on read_text direction
        returned_in matched_from matched_to
    """,
    "a name of a feature, from numbers that are held: tests/feature/test_names.py": """
        feature_name neighbor_name correlated_name name_a name_b match_name next_name coarse_name
        child_name sibling_name
    """,
    "a text of the walks: tests/automata/test_automaton.py": """
        path path_example step_example
    """,
    "a text from the tokenizer: tests/models/test_tokens.py": """
        token_label token_text token_text_b context_text next_text
    """,
    "a setting or a fact of the dictionary, shown as it is": """
        d_in d_sae context_size expected_l0 expected_fve downloaded width_text compared compared_value step dose
    """,
    "the name of a curve or of the way that it is counted": """
        match_way match_series example_group span_series companion
    """,
    "the name of a way, by which the oracles of the numbers beside it know what to compute": """
        recipe repair
    """,
    "shown as its logarithm, whose oracle takes that": """
        p_value q_value
    """,
    "yes or no: tests/token_sets holds the members of every set": """
        in_set
    """,
    "the state of a task: tests/sweeps": """
        sweep_state sweep_seconds there_activations there_positions there_logit_weights
        there_neighbors there_matching
    """,
}
BY_BORDER = {name: why for why, names in _NO_NUMBERS.items() for name in names.split()}
"""Names, labels and verdicts: why they are no number, or where their borders are tested."""
