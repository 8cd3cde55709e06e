namespace Flamingo.Training.Tests;

/// <summary>Tests that run while no other test does, because they count the tensors of the process.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneCollection
{
    public const string Name = "alone";
}
