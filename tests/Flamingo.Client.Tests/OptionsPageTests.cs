using System.Reflection;
using Flamingo.Abstractions;
using Flamingo.Testing;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.Tests;

/// <summary>docs/dotnet.md says what becomes of every option.</summary>
public sealed class OptionsPageTests
{
    [Theory, InlineData(typeof(FlamingoClientOptions)), InlineData(typeof(ChatOptions)), InlineData(typeof(FlamingoChatRequest))]
    public void The_page_names_every_option(Type options)
    {
        var page = File.ReadAllText(RepositoryFiles.Path("docs", "dotnet.md"));
        Assert.All(
            options.GetProperties(BindingFlags.Public | BindingFlags.Instance),
            property => Assert.Contains($"`{property.Name}`", page, StringComparison.Ordinal));
    }
}
